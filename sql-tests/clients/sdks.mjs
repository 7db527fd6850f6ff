// Events of the posthog-node client, as it is. sdks.py says over stdin, line by line, which: their
// first number and the one behind the last; or nothing, for one of each other kind. At the end of
// stdin the client is shut down, and what it reported as failed is printed as JSON.

import { createInterface } from 'node:readline'
import { PostHog } from 'posthog-node'

const { token, options, timestamp, name, shutdownMs } = JSON.parse(process.argv[2])
const client = new PostHog(token, options)
const errors = []
client.on('error', (error) => errors.push(String(error)))

for await (const line of createInterface({ input: process.stdin })) {
  const [first, end] = JSON.parse(line)
  if (first === undefined) {
    client.identify({ distinctId: 'u1', properties: { plan: 'pro' } })
    client.alias({ distinctId: 'u1', alias: 'a1' })
    client.groupIdentify({ groupType: 'company', groupKey: 'c1', properties: { size: 5 } })
    client.captureException(new Error('for the test'), 'u1')
    continue
  }
  for (let n = first; n < end; n++) {
    client.capture({
      distinctId: `u${n % 100}`,
      event: 'sdk',
      properties: { client: name, n },
      ...(timestamp && { timestamp: new Date(timestamp) }),
    })
  }
}
await client.shutdown(shutdownMs)
console.log(JSON.stringify(errors))
