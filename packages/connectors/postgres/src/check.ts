import type { CallOptions, Checked } from '@ecokit/contracts'
import { openSession } from './client.ts'
import { serverError } from './errors.ts'
import type { Place } from './place.ts'

/** Logs in, and looks who we are and what we may do in the schema. */
export const check = async (place: Place, options: CallOptions): Promise<Checked> => {
  const session = await openSession(place, options)
  try {
    const { rows } = await session.within(options.signal, () =>
      session.run(
        `SELECT current_user, current_setting('server_version'),
                coalesce(has_schema_privilege(to_regnamespace(quote_ident($1)), 'CREATE'), false) AND NOT pg_is_in_recovery()`,
        [place.config.schema],
      ),
    )
    const [account, version, writes] = rows[0] ?? []
    return {
      account: account ?? place.user,
      version: `PostgreSQL ${version ?? ''}`,
      parts: { tables: writes === 't' ? 'ok' : 'denied' },
    }
  } catch (thrown) {
    throw serverError(thrown, { partner: place.partner, what: 'cannot look around' })
  } finally {
    await session.end()
  }
}
