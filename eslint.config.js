export { default } from '@ecokit/eslint-config'
