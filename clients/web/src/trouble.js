/** A failure that the page can explain; `code` names its sentence in words.js. */
export class Trouble extends Error {
  constructor(code, detail = '') {
    super(detail || code)
    this.code = code
    this.detail = detail
  }
}

/** What a failure of the decoder or the runtime means, for `Trouble.code`. */
export function codeOf(error) {
  if (error instanceof Trouble) return error.code
  if (error instanceof RangeError || /alloc|memory|out of bounds|^\d+$/i.test(String(error?.message ?? error)))
    return 'memory' // the runtime throws bare numbers when a C++ exception escapes
  return 'failed'
}
