/** The reliability diagram, and how many answers there were of each confidence. */

import { percent } from './format.js';
import { type Html, html } from './html.js';
import type { PageInput } from './input.js';
import { figure } from './parts.js';
import { confidenceHistogram, reliabilityDiagram } from './plot.js';
import { plain, t } from './text.js';

export function calibrationSection({ evaluation: { calibration } }: PageInput): Html {
  const { bins, ece } = calibration;
  const size = { width: 460, height: 300 };
  return html`<h2>${t('calibrationTitle')}</h2><p class="how">${t('calibrationHow', { ece: percent(ece, 2) })}</p>
<div class="plots">
${figure(t('shareRight'), [], reliabilityDiagram({ bins, ...size, title: plain('calibrationTitle') }), t('confidence'))}
${figure(t('answers'), [], confidenceHistogram({ bins, ...size, title: plain('answers') }), t('confidence'))}
</div>`;
}
