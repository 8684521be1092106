export * from '@ecokit/connect'
export { httpSink } from './http-sink.ts'
