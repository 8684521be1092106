// Compiles assembly/scan.ts and writes it, as text, to src/scan.wasm.ts: whoever installs the package needs no toolchain, and no file beside the code has to be found at run time.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import asc from 'assemblyscript/asc'

process.chdir(import.meta.dirname)
let binary = new Uint8Array()
const options = '--outFile scan.wasm --runtime stub --importMemory --noAssert -O3 --enable simd --memoryBase 64'
const { error, stderr } = await asc.main(
  ['assembly/scan.ts', 'assembly/fill.ts', 'assembly/shared.ts', 'assembly/number.ts', ...options.split(' ')],
  {
    writeFile: (_name, contents) => {
      binary = contents
    },
  },
)
if (error) {
  console.error(String(stderr))
  throw error
}
writeFileSync(
  process.argv[2] ?? join('src', 'scan.wasm.ts'),
  `// Made of assembly/scan.ts by build.mjs; a test compiles it again and compares.\nexport const wasm =\n  '${Buffer.from(binary).toString('base64')}'\n`,
)
console.log(`${binary.length} bytes of WebAssembly`)
