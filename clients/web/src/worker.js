/** Decoding and inference, off the page's thread. Needs no network: the page hands over all files. */
import { InferenceSession, Tensor, env } from 'onnxruntime-web/wasm'
import { findRegions, paint } from './heatmap.js'
import { decode, pixels } from './picture.js'
import { decodesExactly } from './selfcheck.js'
import { Trouble, codeOf } from './trouble.js'

const SHOWN = 1600 // longest side in pixels of what the page draws
let session
let exact

async function open({ glue, wasm, model, threads }) {
  env.logLevel = 'fatal'
  env.wasm.numThreads = threads
  env.wasm.wasmPaths = { mjs: glue }
  env.wasm.wasmBinary = wasm
  try {
    // Large pictures need every byte: no arena that keeps what earlier steps used.
    session = await InferenceSession.create(model, { enableCpuMemArena: false, enableMemPattern: false })
  } catch (error) {
    throw codeOf(error) === 'memory' ? error : new Trouble('model', String(error.message ?? error))
  }
  const [inputs, outputs] = [session.inputNames, [...session.outputNames].sort()]
  if (String(inputs) !== 'image' || String(outputs) !== 'heatmap,score')
    throw new Trouble('model', `${inputs} → ${outputs}`)
  exact = await decodesExactly()
  return {}
}

async function score({ blob }) {
  const began = performance.now()
  const bitmap = await decode(blob)
  const { width, height } = bitmap
  const rgb = pixels(bitmap)
  const decoded = performance.now()
  postMessage({ stage: 'run', width, height })
  const image = new Tensor('uint8', rgb, [1, height, width, 3])
  const { score: scores, heatmap: heatmaps } = await session.run({ image })
  const ran = performance.now()
  const score = scores.data[0]
  const heatmap = { data: heatmaps.data, width, height }
  if (heatmap.data.length !== width * height) throw new Trouble('model', String(heatmaps.dims))
  if (!Number.isFinite(score) || !heatmap.data.every(Number.isFinite)) throw new Trouble('model', 'NaN')
  const shrink = Math.min(1, SHOWN / Math.max(width, height))
  const [wide, high] = [width, height].map((side) => Math.max(1, Math.round(side * shrink)))
  const shown = await createImageBitmap(bitmap, { resizeWidth: wide, resizeHeight: high, resizeQuality: 'high' })
  bitmap.close()
  const result = {
    score: Math.round(1e6 * Math.min(1, Math.max(0, score))) / 1e6,
    heatmap, shown, exact,
    overlay: paint(heatmap, wide, high),
    regions: findRegions(heatmap),
    milliseconds: { decode: decoded - began, run: ran - decoded },
  }
  return [result, [heatmap.data.buffer, shown, result.overlay.data.buffer]]
}

onmessage = async ({ data }) => {
  try {
    if (data.model) postMessage({ done: await open(data) })
    else {
      const [done, moved] = await score(data)
      postMessage({ done }, moved)
    }
  } catch (error) {
    postMessage({ trouble: codeOf(error), detail: error.detail ?? String(error?.message ?? error) })
  }
}
