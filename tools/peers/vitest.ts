import { describe } from 'vitest'
import { isIntegrationError } from '@ecokit/contracts'
import { azurite } from './azurite.ts'
import { postgres } from './postgres-programs.ts'
import { motoPython, python } from './python.ts'
import { toxiproxy } from './toxiproxy.ts'

const progress = (message: string): void => void process.stderr.write(`${message}\n`)
const peers = {
  mlflow: () => python({ progress }),
  moto: () => motoPython({ progress }),
  azurite: () => azurite({ progress }),
  postgres: () => postgres({ progress }),
  toxiproxy: () => toxiproxy({ progress }),
}

/**
 * Looks whether a peer is there, at the top of a test file. `describe` of what it gives runs the tests, or skips them with the peer's name and what is missing in the title.
 * With ECOKIT_REQUIRE_PEERS=1 a missing peer fails the file instead.
 */
export const requirePeer = async (
  name: keyof typeof peers,
): Promise<{
  readonly describe: (title: string, body: () => void) => void
  /** Why it is not there. */
  readonly missing: string | undefined
}> => {
  try {
    await peers[name]()
    return { describe: (title, body) => void describe(title, body), missing: undefined }
  } catch (error) {
    if (process.env['ECOKIT_REQUIRE_PEERS'] === '1' || !isIntegrationError(error)) throw error
    const why = error.message
    return {
      describe: (title, body) => void describe.skip(`${title} [peer ${name} is missing: ${why}]`, body),
      missing: why,
    }
  }
}
