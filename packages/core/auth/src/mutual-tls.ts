import { z } from 'zod'
import { secret, type AuthScheme } from '@ecokit/contracts'
import { certificateField, checkedKey, checkValidity, pairProblem, privateKeyField, readPrivateKey } from './jwt.ts'

/** A client certificate (RFC 8446, 4.4.2), shown to the connector's hosts and to nobody else; nothing is added to the requests. */
export const mutualTls = () => {
  const credentials = z
    .strictObject({
      certificate: certificateField(),
      privateKey: privateKeyField(),
      /** Where the key is encrypted. */
      privateKeyPassphrase: secret().optional(),
    })
    .superRefine(({ certificate, privateKey, privateKeyPassphrase }, check) => {
      const wrong = pairProblem(certificate, readPrivateKey(privateKey, privateKeyPassphrase))
      if (wrong === undefined) return
      const path = [wrong.at === 'passphrase' ? 'privateKeyPassphrase' : wrong.at]
      check.addIssue({ code: 'custom', path, message: wrong.problem })
    })
  return {
    kind: 'mutual_tls',
    credentials,
    open: ({ certificate, privateKey, privateKeyPassphrase }, context) => {
      checkValidity(certificate, context.now(), context.partner)
      const key = checkedKey(readPrivateKey(privateKey, privateKeyPassphrase), context.partner)
      return {
        authorize: () => {},
        certificate: {
          cert: certificate.replaceAll('\\n', '\n'),
          key: key.export({ type: 'pkcs8', format: 'pem' }).toString(),
        },
      }
    },
  } satisfies AuthScheme<typeof credentials>
}
