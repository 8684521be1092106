export * from '@ecokit/connect'
export { local } from './local.ts'
