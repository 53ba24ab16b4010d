/** Runs before every test file: each kernel any test builds is verified. */

import { inspection, verify } from '../src/ir/index.js';

inspection.inspect = verify;
