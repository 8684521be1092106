export { findChromium } from './chromium.ts'
export { findEditor, installInto, runInEditor, type Editor } from './editor.ts'
export { installCodeServer, type CodeServer } from './install.ts'
export { openWorkbench, type Workbench, type WorkbenchOptions } from './workbench.ts'
