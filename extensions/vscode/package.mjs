// Packs what build.mjs made into dist/ecokit-vscode.vsix. Everything is bundled, so no dependency is looked at.
import { createVSIX } from '@vscode/vsce'

const repository = 'https://github.com/ecokit/ecosystem-integration-framework'
const folder = 'HEAD/extensions/vscode'

await createVSIX({
  cwd: import.meta.dirname,
  packagePath: 'dist/ecokit-vscode.vsix',
  dependencies: false,
  // The README's links lead out of this folder, into the repository.
  baseContentUrl: `${repository}/blob/${folder}`,
  baseImagesUrl: `${repository}/raw/${folder}`,
})
