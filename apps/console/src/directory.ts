/** The folder that holds the console's built files: index.html and its assets. */
export const consoleDirectory: URL = new URL('../dist/web/', import.meta.url)
