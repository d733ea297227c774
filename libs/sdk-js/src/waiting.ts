/** Waiting for something to end by looking at it again and again. */

import { TimedOut } from "./errors.js";
import { sleep, type Http } from "./http.js";

export interface Patience {
  /** Seconds between looks. */
  every?: number;
  /** Seconds after which it is given up. */
  timeout?: number;
  signal?: AbortSignal;
}

/** What there is to see once it has ended. Throws `TimedOut` after `timeout` seconds. */
export async function waitFor<T>(
  http: Http,
  look: () => Promise<T>,
  hasEnded: (seen: T) => boolean,
  { every = 2, timeout = Infinity, signal }: Patience,
): Promise<T> {
  for (let waited = 0; ; waited += every) {
    const seen = await look();
    if (hasEnded(seen)) return seen;
    if (waited >= timeout) throw new TimedOut(`It goes on after ${Math.round(waited)} seconds`);
    await sleep(every, http.ending(signal));
  }
}
