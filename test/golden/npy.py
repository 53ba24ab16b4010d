"""
Golden files of NumPy's formats, written by NumPy: every type, order of bytes and order of axes, versions 1.0 to 3.0, archives.

    python test/golden/npy.py      writes test/golden/data/npy/
"""

import json
import pathlib

import numpy as np
from numpy.lib import format as npformat

HERE = pathlib.Path(__file__).parent / 'data' / 'npy'
HERE.mkdir(parents=True, exist_ok=True)
golden = []


def keep(name, array, version=None, expect=True):
    with open(HERE / f'{name}.npy', 'wb') as f:
        npformat.write_array(f, array, version=version)
    if expect:
        values = array.astype(np.float64).ravel(order='C')
        golden.append({'file': f'{name}.npy', 'shape': list(array.shape), 'values': [float(v) for v in values]})


numbers = np.arange(-6, 6).reshape(2, 3, 2)
for kind in ['b1', 'u1', 'i1', 'u2', 'i2', 'u4', 'i4', 'u8', 'i8', 'f2', 'f4', 'f8']:
    array = np.abs(numbers) if kind[0] == 'u' else numbers
    if kind == 'b1':
        array = numbers % 2 == 0
    if kind[0] == 'f':
        array = numbers / 8
    keep(kind, array.astype('<' + kind))
    if int(kind[1]) > 1:
        keep(f'{kind}-big', array.astype('>' + kind))
keep('fortran', np.asfortranarray(numbers.astype('<i4')))
keep('fortran-big', np.asfortranarray(numbers.astype('>f8')))
keep('scalar', np.array(2.5, '<f4'))
keep('vector', np.array([1, 2, 3], '<f4'))
keep('empty', np.zeros((0, 3), '<f4'))
keep('version2', numbers.astype('<i2'), version=(2, 0))
keep('version3', numbers.astype('<i2'), version=(3, 0))
try:
    import ml_dtypes

    keep('bfloat16', (numbers / 8).astype(ml_dtypes.bfloat16))
except ImportError:
    pass

keep('objects', np.array([{'a': 1}, [2]], dtype=object), expect=False)
keep('records', np.zeros(2, dtype=[('a', '<f4'), ('b', '<i4')]), expect=False)
keep('strings', np.array(['cat', 'doggo']), expect=False)
keep('complex', np.array([1j]), expect=False)
keep('large', np.array([2**31], '<u4'), expect=False)

np.savez(HERE / 'stored.npz', x=numbers.astype('<f4'), y=np.array([1, 2], '<i8'))
np.savez_compressed(HERE / 'packed.npz', x=np.zeros((40, 5), '<f4'), y=np.array([3], '|u1'))
(HERE / 'golden.json').write_text(json.dumps({'by': f'NumPy {np.__version__}', 'arrays': golden}) + '\n')
