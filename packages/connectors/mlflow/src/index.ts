export * from '@ecokit/connect'
export { mlflow } from './mlflow.ts'
