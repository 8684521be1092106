import type { AnyConnector } from '@ecokit/contracts'

/** The connectors that come with the command. */
export const loadConnectors = async (): Promise<readonly AnyConnector[]> => {
  const [{ mlflow }, { local }, { postgres }, { httpSink }] = await Promise.all([
    import('@ecokit/connector-mlflow'),
    import('@ecokit/connector-local'),
    import('@ecokit/connector-postgres'),
    import('@ecokit/connector-http-sink'),
  ])
  return [mlflow, local, postgres, httpSink]
}
