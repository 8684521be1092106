export * from './file.ts'
export { loadEcosystem } from './load.ts'
