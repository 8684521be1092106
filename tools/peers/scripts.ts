import { fileURLToPath } from 'node:url'

const script = (name: string): string => fileURLToPath(new URL(name, import.meta.url))

/** Trains scikit-learn models and logs them; its options are in the script's own help. */
export const trainScript = script('./train.py')
/** Prints as JSON what MLflow's own Python client reports. */
export const truthScript = script('./truth.py')
/** Changes what is there: tag, delete, restore, finish, log. */
export const changeScript = script('./change.py')
/** Runs a command until this process is gone. */
export const serveScript = script('./serve.py')
/** What the environment is made of. */
export const requirementsFile = script('./requirements.txt')
/** The environment itself; git-ignored and reused. */
export const environmentFolder = script('../../.cache/python')

/** The same for moto. */
export const motoRequirementsFile = script('./moto.txt')
export const motoFolder = script('../../.cache/moto')
/** Runs a Node program until this process is gone. */
export const serveNodeScript = fileURLToPath(new URL('./serve.mjs', import.meta.url))
export const azuriteFolder = script('../../.cache/azurite')
/** Programs and an empty cluster to copy. */
export const postgresFolder = script('../../.cache/postgres')
