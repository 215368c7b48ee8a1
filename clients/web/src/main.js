import { Engine, load } from './engine.js'
import { check } from './picture.js'
import { codeOf } from './trouble.js'
import { verdict } from './verdict.js'
import { draw, show } from './view.js'

const byId = (id) => document.getElementById(id)
const wanted = new URLSearchParams(location.search).get('lang') ?? navigator.language
const state = { language: wanted.startsWith('zh') ? 'zh' : 'en' }
let turn = 0 // photos and cancellations so far; only the latest may speak
let engine

/** Show a change; `status` and `trouble` are said once and make way for the next. */
function say(change) {
  Object.assign(state, { status: null, trouble: null, busy: false }, change)
  show(state)
}

function fail(error, name = '') {
  say({ trouble: { code: codeOf(error), detail: error.detail ?? String(error?.message ?? error), name } })
}

const loaded = load().then((files) => {
  engine = new Engine(files)
  Object.assign(state, { card: files.card, threads: engine.threads })
  show(state)
})
loaded.then(() => engine.open()).catch((error) => fail(error))

async function look(file) {
  const mine = ++turn
  const past = () => mine !== turn
  engine?.stop()
  say({ status: ['reading'], busy: true, result: null })
  let clock
  try {
    const blob = await check(file)
    if (past()) return
    if (!engine) say({ status: ['loading'], busy: true })
    await loaded
    await engine.open()
    if (past()) return
    const result = await engine.score(blob, ({ width, height }) => {
      const began = Date.now()
      const tick = () => {
        const seconds = Math.round((Date.now() - began) / 1000)
        if (!past()) say({ status: ['running', { width, height, seconds }], busy: true })
      }
      tick()
      clock = setInterval(tick, 1000)
    })
    if (past()) return
    Object.assign(result, { name: file.name }, verdict(result, state.card))
    draw(result)
    say({ result, status: ['ready', result] })
    byId('result').focus()
    document.dispatchEvent(new CustomEvent('damagenet:result', { detail: result }))
  } catch (error) {
    if (!past()) fail(error, file.name)
  } finally {
    clearInterval(clock)
  }
}

function cancel() {
  turn++
  engine?.stop()
  say({ status: ['stopped'] })
}

/** Take the first of the files that somebody gave, if there is one. */
function take(files) {
  if (files.length) look(files[0])
}

byId('file').addEventListener('change', ({ target }) => {
  take([...target.files])
  target.value = '' // the same photo may be chosen again
})
byId('cancel').addEventListener('click', cancel)
byId('language').addEventListener('click', () => {
  state.language = state.language === 'en' ? 'zh' : 'en'
  show(state)
})
byId('opacity').addEventListener('input', ({ target }) => byId('stack').style.setProperty('--heat', target.value / 100))
byId('outline').addEventListener('change', ({ target }) => byId('regions').classList.toggle('off', !target.checked))
document.addEventListener('paste', (event) => take([...event.clipboardData.files]))
document.addEventListener('keydown', ({ key }) => key === 'Escape' && state.busy && cancel())
for (const name of ['dragenter', 'dragover', 'dragleave', 'drop'])
  document.addEventListener(name, (event) => {
    event.preventDefault() // a photo that misses the frame must not replace the page
    byId('drop').classList.toggle('over', name.startsWith('drage') || name === 'dragover')
    if (name === 'drop') take([...event.dataTransfer.files])
  })

show(state)
