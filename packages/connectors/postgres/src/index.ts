export * from '@ecokit/connect'
export { postgres } from './postgres.ts'
