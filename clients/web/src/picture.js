import { Trouble } from './trouble.js'

export const MAX_PIXELS = 24_000_000

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
 * Read in bands, so that neither the size limits of a canvas nor a second copy of a large picture
 * stand in the way.
 */
export function pixels(bitmap, rows = 256) {
  const { width, height } = bitmap
  const rgb = new Uint8Array(width * height * 3)
  const canvas = new OffscreenCanvas(width, Math.min(rows, height))
  const context = canvas.getContext('2d', { willReadFrequently: true })
  context.fillStyle = '#fff'
  let to = 0
  for (let top = 0; top < height; top += rows) {
    const count = Math.min(rows, height - top)
    context.fillRect(0, 0, width, count)
    context.drawImage(bitmap, 0, top, width, count, 0, 0, width, count)
    const { data } = context.getImageData(0, 0, width, count)
    for (let from = 0; from < data.length; from += 4) {
      rgb[to++] = data[from]
      rgb[to++] = data[from + 1]
      rgb[to++] = data[from + 2]
    }
  }
  return rgb
}
