import { Trouble } from './trouble.js'

export const MAX_PIXELS = 24_000_000
export const MIN_SIDE = 64 // a smaller side is padded before the model sees it

const KINDS = [
  ['image/jpeg', /^\xff\xd8\xff/],
  ['image/png', /^\x89PNG\r\n\x1a\n/],
  ['image/webp', /^RIFF[^]{4}WEBP/],
  ['image/gif', /^GIF8[79]a/],
  ['image/bmp', /^BM/],
  ['image/avif', /^[^]{4}ftypavi[fs]/],
  ['image/heic', /^[^]{4}ftyp(heic|heix|hevc|heim|heis|mif1|msf1)/],
  ['image/tiff', /^(II\*\0|MM\0\*)/],
]

/** The media type of a file by its first bytes; names and declared types come from strangers. */
export async function kindOf(file) {
  if (!file.size) throw new Trouble('empty')
  const start = String.fromCharCode(...new Uint8Array(await file.slice(0, 16).arrayBuffer()))
  const kind = KINDS.find(([, pattern]) => pattern.test(start))?.[0]
  if (!kind) throw new Trouble('notPicture')
  return kind
}

/**
 * Refuse what cannot be scored before any pixel is decoded: an image element reads the header only.
 * Returns the file as a blob of the right type.
 */
export async function check(file) {
  const kind = await kindOf(file)
  const blob = new Blob([file], { type: kind })
  const url = URL.createObjectURL(blob)
  try {
    const { width, height } = await new Promise((resolve, reject) => {
      const image = new Image()
      image.onload = () => resolve({ width: image.naturalWidth, height: image.naturalHeight })
      image.onerror = reject
      image.src = url
    })
    if (width * height > MAX_PIXELS) throw new Trouble('tooLarge', `${width} × ${height}`)
  } catch (error) {
    if (error instanceof Trouble) throw error
    throw new Trouble(/heic|tiff/.test(kind) ? 'format' : 'damaged')
  } finally {
    URL.revokeObjectURL(url)
  }
  return blob
}

/** A picture as a bitmap, upright, its numbers as they are in the file. */
export async function decode(blob) {
  try {
    return await createImageBitmap(blob, {
      imageOrientation: 'from-image',
      colorSpaceConversion: 'none',
      premultiplyAlpha: 'none',
    })
  } catch (error) {
    if (error.name === 'InvalidStateError') throw new Trouble('damaged')
    throw error
  }
}

/**
 * The RGB bytes `[height, width, 3]` of a bitmap, transparency laid on white.
 *
 * Sides under `MIN_SIDE` are padded with their edge at the right and bottom. Read in bands, so that
 * neither the size limits of a canvas nor a second copy of a large picture stand in the way.
 */
export function pixels(bitmap, rows = 256) {
  const width = Math.max(bitmap.width, MIN_SIDE)
  const height = Math.max(bitmap.height, MIN_SIDE)
  const rgb = new Uint8Array(width * height * 3)
  const canvas = new OffscreenCanvas(bitmap.width, Math.min(rows, bitmap.height))
  const context = canvas.getContext('2d', { willReadFrequently: true })
  context.fillStyle = '#fff'
  for (let top = 0; top < bitmap.height; top += rows) {
    const count = Math.min(rows, bitmap.height - top)
    context.fillRect(0, 0, bitmap.width, count)
    context.drawImage(bitmap, 0, top, bitmap.width, count, 0, 0, bitmap.width, count)
    const { data } = context.getImageData(0, 0, bitmap.width, count)
    for (let y = 0, from = 0; y < count; y++) {
      let to = (top + y) * width * 3
      const end = to + width * 3
      for (const stop = from + bitmap.width * 4; from < stop; from += 4) {
        rgb[to++] = data[from]
        rgb[to++] = data[from + 1]
        rgb[to++] = data[from + 2]
      }
      for (; to < end; to++) rgb[to] = rgb[to - 3]
    }
  }
  const last = (bitmap.height - 1) * width * 3
  for (let y = bitmap.height; y < height; y++) rgb.copyWithin(y * width * 3, last, last + width * 3)
  return { rgb, width, height }
}
