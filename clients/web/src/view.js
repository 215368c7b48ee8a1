/** Puts the state of the page into its elements; text only, never markup. */
import { words } from './words.js'

const byId = (id) => document.getElementById(id)
const digits = (score) => score.toFixed(3)

/** A sentence of words.js, filled in. */
const said = (sentence, values) => (typeof sentence === 'function' ? sentence(values) : sentence)

export function show(state) {
  const say = words[state.language]
  const other = state.language === 'en' ? 'zh' : 'en'
  document.documentElement.lang = state.language === 'zh' ? 'zh-CN' : 'en'
  document.title = `damagenet: ${say.title}`
  for (const element of document.querySelectorAll('[data-say]')) element.textContent = say[element.dataset.say]
  byId('language').textContent = words[other].name
  byId('language').lang = other
  list('limits', say.limits)

  byId('busy').hidden = !state.busy
  const [key, values] = state.status ?? []
  byId('status').textContent = key ? said(say[key], values) : ''
  byId('trouble').hidden = !state.trouble
  byId('trouble').textContent = state.trouble ? complaint(state.trouble, say) : ''

  byId('result').hidden = !state.result
  if (state.result) showResult(state, say)
  byId('about').hidden = !state.card
  if (state.card) showFacts(state, say)
}

function complaint({ code, detail, name }, say) {
  const sentence = said(say.trouble[code], { detail })
  return name ? `${name}: ${sentence}` : sentence
}

function showResult({ result, card }, say) {
  const { score, band, heatmap, regions, name } = result
  byId('result').className = band
  byId('band').textContent = say.band[band]
  byId('score').textContent = digits(score)
  byId('meaning').textContent = say.meaning[band]
  byId('photo').ariaLabel = said(say.photo, { name, ...heatmap })
  byId('count').textContent = said(say.marked, { count: regions.length })
  byId('outline').disabled = !regions.length
  const scale = byId('scale')
  const levels = { score, review: card.review_threshold, flag: Math.min(1, card.threshold) }
  for (const [level, value] of Object.entries(levels)) scale.style.setProperty(`--${level}-at`, value)
  byId('levels').textContent = said(say.levels, {
    review: digits(card.review_threshold),
    flag: card.threshold <= 1 && digits(card.threshold),
  })
  byId('colours').textContent = say.colours[band] ?? say.colours.other
  list('notes', [result.held && say[result.held], !result.exact && say.inexact, ...promises(card, say)])
}

/** What the thresholds of this model promise, in sentences. */
function promises(card, say) {
  const { flag, review } = card.certificate ?? {}
  const certified = Boolean(flag?.certified)
  const values = { rate: card.false_alarm_rate, more: flag?.more_photos }
  const top = card.threshold > 1 ? say.neverFlags : certified ? say.flagCertified : say.flagExpected
  const rate = card.review_false_alarm_rate
  const lower = rate && said(say.reviewRate, { rate, certified: Boolean(review?.certified) })
  const area = card.metrics?.image_auc
  return [lower, values.rate && said(top, values), area && said(say.weak, area)]
}

function showFacts({ card, result, threads }, say) {
  const rows = {
    model: `${card.name} ${card.version}`,
    auc: card.metrics?.image_auc && said(say.auc, card.metrics.image_auc),
    review: digits(card.review_threshold),
    flag: card.threshold > 1 ? say.never : digits(card.threshold),
    use: card.intended_use,
    licence: card.licence,
    sha256: card.sha256,
    dataset: card.dataset_sha256,
    time: result && said(say.time, { ...result.milliseconds, threads }),
  }
  const lines = Object.entries(rows).filter(([, value]) => value)
  byId('facts').replaceChildren(...lines.map(([key, value]) => {
    const row = element('tr')
    row.append(element('th', say.facts[key]), element('td', value))
    return row
  }))
}

/** Draw a new photo with its heatmap and outlines; once per result. */
export function draw({ shown, overlay, heatmap, regions }) {
  for (const canvas of [byId('photo'), byId('heat')])
    Object.assign(canvas, { width: overlay.width, height: overlay.height })
  byId('photo').getContext('bitmaprenderer').transferFromImageBitmap(shown)
  byId('heat').getContext('2d').putImageData(overlay, 0, 0)
  const outlines = byId('regions')
  outlines.setAttribute('viewBox', `0 0 ${heatmap.width} ${heatmap.height}`)
  outlines.replaceChildren(...regions.map((region) => {
    const box = document.createElementNS(outlines.namespaceURI, 'rect')
    for (const side of ['x', 'y', 'width', 'height']) box.setAttribute(side, region[side])
    return box
  }))
}

function list(id, lines) {
  byId(id).replaceChildren(...lines.filter(Boolean).map((line) => element('li', line)))
}

function element(name, text = '') {
  const made = document.createElement(name)
  made.textContent = text
  return made
}
