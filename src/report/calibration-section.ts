/** The reliability diagram, and how many answers there were of each confidence. */

import { percent } from './format.js';
import { type Html, html, trusted } from './html.js';
import type { PageInput } from './input.js';
import { confidenceHistogram, reliabilityDiagram } from './plot.js';
import { plain, t } from './text.js';

export function calibrationSection({ evaluation: { calibration } }: PageInput): Html {
  const { bins, ece } = calibration;
  return html`<h2>${t('calibrationTitle')}</h2><p class="how">${t('calibrationHow', { ece: percent(ece, 2) })}</p>
<div class="plots">
<figure class="card"><figcaption><h3>${t('shareRight')}</h3></figcaption>${trusted(reliabilityDiagram({ bins, width: 460, height: 300, title: plain('calibrationTitle') }))}<div class="axis">${t('confidence')}</div></figure>
<figure class="card"><figcaption><h3>${t('answers')}</h3></figcaption>${trusted(confidenceHistogram({ bins, width: 460, height: 300, title: plain('answers') }))}<div class="axis">${t('confidence')}</div></figure>
</div>`;
}
