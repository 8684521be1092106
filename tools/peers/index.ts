export { python, runPython, type PythonOptions, type RunPythonOptions } from './python.ts'
export { startMlflow, type Mlflow, type MlflowOptions } from './mlflow.ts'
export { changeScript, trainScript, truthScript } from './scripts.ts'
