export {
  motoPython,
  python,
  pythonIn,
  runPython,
  type Environment,
  type PythonOptions,
  type RunPythonOptions,
} from './python.ts'
export { startMlflow, type Mlflow, type MlflowOptions } from './mlflow.ts'
export { changeScript, trainScript, truthScript } from './scripts.ts'
export { azurite, startAzurite, type Azurite, type AzuriteOptions } from './azurite.ts'
export { startMoto, type Moto, type MotoOptions } from './moto.ts'
export { postgres } from './postgres-programs.ts'
export { startPostgres, type Postgres, type PostgresLogin, type PostgresOptions } from './postgres.ts'
export { startToxiproxy, toxiproxy, type ToxicProxy, type Toxic, type Toxiproxy } from './toxiproxy.ts'
export {
  browse,
  startOidc,
  type Oidc,
  type OidcContext,
  type OidcExchange,
  type OidcOptions,
  type OidcProvider,
} from './oidc.ts'
