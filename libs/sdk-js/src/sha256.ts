/** SHA-256 of what comes piece by piece (FIPS 180-4). Web Crypto's wants all of it at once, and only where a page is secure. */

const K = new Int32Array(64);
const START = new Int32Array(8);
for (let n = 2, count = 0; count < 64; n++) {
  let divisor = 2;
  while (n % divisor) divisor++;
  if (divisor < n) continue;
  START[count] = Math.sqrt(n) * 2 ** 32;
  K[count++] = Math.cbrt(n) * 2 ** 32;
}

export class Sha256 {
  readonly #state = START.slice();
  readonly #words = new Int32Array(64);
  readonly #block = new Uint8Array(64);
  #filled = 0;
  #size = 0;

  update(bytes: Uint8Array): this {
    this.#size += bytes.length;
    for (let place = 0; place < bytes.length; ) {
      if (!this.#filled && bytes.length - place >= 64) {
        this.#mix(bytes, place);
        place += 64;
        continue;
      }
      const part = bytes.subarray(place, place + 64 - this.#filled);
      this.#block.set(part, this.#filled);
      this.#filled += part.length;
      place += part.length;
      if (this.#filled === 64) {
        this.#mix(this.#block, 0);
        this.#filled = 0;
      }
    }
    return this;
  }

  /** The sum, once all has come. */
  digest(): Uint8Array {
    const end = new Uint8Array((this.#filled < 56 ? 64 : 128) - this.#filled);
    const length = this.#size * 8;
    end[0] = 0x80;
    new DataView(end.buffer).setUint32(end.length - 8, length / 2 ** 32);
    new DataView(end.buffer).setUint32(end.length - 4, length);
    this.update(end);
    const sum = new DataView(new ArrayBuffer(32));
    this.#state.forEach((word, index) => sum.setInt32(4 * index, word));
    return new Uint8Array(sum.buffer);
  }

  hex(): string {
    return Array.from(this.digest(), (byte) => byte.toString(16).padStart(2, "0")).join("");
  }

  #mix(bytes: Uint8Array, place: number): void {
    const words = this.#words;
    for (let i = 0; i < 16; i++, place += 4) {
      words[i] = (bytes[place]! << 24) | (bytes[place + 1]! << 16) | (bytes[place + 2]! << 8) | bytes[place + 3]!;
    }
    for (let i = 16; i < 64; i++) {
      const x = words[i - 15]!;
      const y = words[i - 2]!;
      const low = ((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3);
      const high = ((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10);
      words[i] = words[i - 16]! + low + words[i - 7]! + high;
    }
    const state = this.#state;
    let a = state[0]!, b = state[1]!, c = state[2]!, d = state[3]!;
    let e = state[4]!, f = state[5]!, g = state[6]!, h = state[7]!;
    for (let i = 0; i < 64; i++) {
      const chosen = (e & f) ^ (~e & g);
      const turned = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7));
      const one = (h + turned + chosen + K[i]! + words[i]!) | 0;
      const most = (a & b) ^ (a & c) ^ (b & c);
      const two = (((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10))) + most;
      h = g;
      g = f;
      f = e;
      e = (d + one) | 0;
      d = c;
      c = b;
      b = a;
      a = (one + two) | 0;
    }
    state[0]! += a;
    state[1]! += b;
    state[2]! += c;
    state[3]! += d;
    state[4]! += e;
    state[5]! += f;
    state[6]! += g;
    state[7]! += h;
  }
}
