/** An evaluation as a page: its sections in the order in which a reader asks. */

import { calibrationSection } from './calibration-section.js';
import { classesSection } from './classes-section.js';
import { confusionSection } from './confusion-section.js';
import { dataSection, reproduceSection } from './data-section.js';
import { mistakesSection } from './gallery.js';
import { headline } from './headline.js';
import { html, nameHtml, shortName } from './html.js';
import type { PageInput } from './input.js';
import { select } from './selection.js';
import { renderShell } from './shell.js';
import { t } from './text.js';
import { trainingSection } from './training-section.js';

/** The whole page. Everything in `input` may come from strangers. */
export async function renderPage(input: PageInput): Promise<string> {
  const { model, data, date, facts, pictures } = input;
  const selection = select(input.evaluation);
  return renderShell({
    kind: 'report',
    title: `${shortName(model)} · ${shortName(data)} · ${date.toISOString().slice(0, 10)}`,
    heading: html`${nameHtml(model)} <small>${t('on', { data: nameHtml(data) })}</small>`,
    date,
    facts,
    pictures,
    sections: [
      { id: 'overview', word: 'overview', content: headline(input) },
      { id: 'training', word: 'training', content: trainingSection(input) },
      { id: 'confusion', word: 'confusion', content: confusionSection(input, selection) },
      { id: 'mistakes', word: 'mistakes', content: mistakesSection(input, selection) },
      { id: 'by-class', word: 'byClass', content: classesSection(input) },
      { id: 'calibration', word: 'calibration', content: calibrationSection(input) },
      { id: 'data', word: 'data', content: dataSection(input) },
      { id: 'reproduce', word: 'reproduce', content: reproduceSection(input) },
    ],
  });
}
