/** Fetches the model, checks it against its description, and keeps one worker to run it. */
import glue from 'onnxruntime-web/ort-wasm-simd-threaded.mjs?raw'
import wasmUrl from 'onnxruntime-web/ort-wasm-simd-threaded.wasm?url'
import cardUrl from 'detector.json?url'
import modelUrl from 'detector.onnx?url'
import { Trouble } from './trouble.js'
import OrtWorker from './worker.js?worker&inline'

const FORMAT = 1 // newest layout of the model's description that this page understands

async function fetched(url) {
  const answer = await fetch(url).catch(() => null)
  if (!answer?.ok) throw new Trouble('missing', new URL(url, document.baseURI).pathname)
  return answer.arrayBuffer()
}

/** The files to run the model with, and `card`, what is known about it. */
export async function load() {
  if (!globalThis.crypto?.subtle) throw new Trouble('insecure')
  if (!globalThis.OffscreenCanvas || !globalThis.WebAssembly) throw new Trouble('browser')
  const [text, model, wasm] = await Promise.all([cardUrl, modelUrl, wasmUrl].map(fetched))
  const card = read(text)
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', model))
  card.sha256 = [...digest].map((byte) => byte.toString(16).padStart(2, '0')).join('')
  if (card.sha256 !== card.onnx_sha256) throw new Trouble('mismatch')
  return { card, model, wasm }
}

function read(bytes) {
  let card
  try {
    card = JSON.parse(new TextDecoder().decode(bytes))
  } catch {
    throw new Trouble('mismatch')
  }
  if (card.format > FORMAT) throw new Trouble('newer', `${card.format} > ${FORMAT}`)
  card.review_threshold ??= card.threshold
  if (!(card.review_threshold <= card.threshold)) throw new Trouble('mismatch') // true for undefined, too
  return card
}

export class Engine {
  threads = self.crossOriginIsolated ? Math.min(4, navigator.hardwareConcurrency || 1) : 1
  #glue = URL.createObjectURL(new Blob([glue], { type: 'text/javascript' }))
  #files
  #worker
  #stop = () => {}

  constructor(files) {
    this.#files = files
  }

  /** A running worker; called ahead of the first photo, it saves that one the wait. */
  open() {
    this.#worker ??= this.#start()
    return this.#worker
  }

  /** Score a checked photo; `onRun` hears its size once it is decoded. One at a time. */
  async score(blob, onRun) {
    const worker = await this.open()
    const stopped = new Promise((_, reject) => (this.#stop = reject))
    return Promise.race([this.#ask(worker, { blob }, onRun), stopped]).catch((error) => {
      this.#close(worker)
      throw error
    })
  }

  /** Give up a photo under way; its promise fails. */
  stop() {
    this.#stop(new Trouble('stopped'))
  }

  async #start() {
    const worker = new OrtWorker()
    const { model, wasm } = this.#files
    try {
      await this.#ask(worker, { glue: this.#glue, wasm, model, threads: this.threads })
      return worker
    } catch (error) {
      this.#close(worker)
      throw error
    }
  }

  #close(worker) {
    worker.terminate() // after a failure the runtime's memory is not to be trusted
    this.#worker = undefined
  }

  #ask(worker, message, onRun) {
    return new Promise((resolve, reject) => {
      worker.onerror = (event) => reject(new Trouble('failed', event.message))
      worker.onmessage = ({ data }) => {
        if (data.stage) onRun?.(data)
        else if (data.trouble) reject(new Trouble(data.trouble, data.detail))
        else resolve(data.done)
      }
      worker.postMessage(message)
    })
  }
}
