import type { AnyConnector } from '@ecokit/contracts'

/** The connectors that come with the command. */
export const loadConnectors = async (): Promise<readonly AnyConnector[]> => {
  const [{ mlflow }, { local }] = await Promise.all([
    import('@ecokit/connector-mlflow'),
    import('@ecokit/connector-local'),
  ])
  return [mlflow, local]
}
