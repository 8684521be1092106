#!/usr/bin/env node
import { runHost } from './host.ts'

process.exitCode = await runHost(process.argv.slice(2))
