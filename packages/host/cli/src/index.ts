export { main } from './program.ts'
export { openTerminal } from './output/terminal.ts'
export type { Paint, Shade, Terminal } from './output/terminal.ts'
