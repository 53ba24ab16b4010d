/** The words of the page on robustness, in English and in Chinese; the terminal says some of the English ones. `{name}` stands for a value. */

export const robustnessWords = {
  robustnessReport: ['Robustness report', '鲁棒性报告'],
  robustnessOf: ['disturbed pictures', '扰动后的图片'],
  curves: ['Curves', '曲线'],
  curvesTitle: ['How answers hold', '扰动下回答是否稳定'],
  whyShifts: ['Why shifts matter', '平移的影响'],
  whyShiftsTitle: ['Why a small shift can change an answer', '为什么轻微平移会改变回答'],
  looks: ['Pictures', '图片'],
  looksTitle: ['What the model was shown', '模型看到的图片'],
  numbers: ['Numbers', '数据表'],
  numbersTitle: ['All numbers', '全部数据'],

  staysAt: ['Class stays, {what} {level}', '{what} {level}时类别不变'],
  staysAtHint: ['of {count} disturbed pictures', '共 {count} 张扰动后的图片'],
  staysMean: ['Class stays, on average', '类别不变，平均'],
  staysMeanHint: ['every disturbance and strength counts alike', '每种扰动、每个强度权重相同'],
  weakestAt: ['Weakest', '最弱之处'],
  weakestAtHint: ['{what} {level}', '{what} {level}'],
  undisturbed: ['Undisturbed', '未扰动'],
  undisturbedHint: ['mean probability of the likeliest class', '最可能类别的平均概率'],
  picturesCount: ['Pictures', '图片数'],
  picturesCountHint: ['each disturbed in {ways} ways', '每张经过 {ways} 种扰动'],

  findShiftNone: [
    'No shift of up to {level} px changed a class; probabilities moved, most at {at} px: by {change} points.',
    '平移不超过 {level} 像素时没有类别改变；概率有变化，平移 {at} 像素时最大：{change} 个百分点。',
  ],
  findShift: [
    'Translation invariance has limits: a shift by {first} px changed the class in {some} of the cases, one by {level} px in {most}.',
    '平移不变性是有限的：平移 {first} 像素时 {some} 的类别改变，平移 {level} 像素时 {most} 的类别改变。',
  ],
  findShiftOne: [
    'Translation invariance has limits: a shift by {level} px changed the class in {most} of the cases.',
    '平移不变性是有限的：平移 {level} 像素时 {most} 的类别改变。',
  ],
  findShiftHow: [
    'Convolutions answer alike wherever a pattern stands; strides, pooling and borders do not. Shifted copies in training (augmentation) help most.',
    '无论图案在哪里，卷积的响应都相同；步长、池化和边界则不然。训练时加入平移过的样本（数据增强）最有效。',
  ],
  findWeakestAt: [
    'Weakest: {what} {level}, where {kept} keep their class.',
    '最弱之处：{what}（{level}），只有 {kept} 保持原来的类别。',
  ],
  findWeakestOther: [
    'Apart from shifts, weakest: {what} {level}, where {kept} keep their class.',
    '除平移外，最弱之处：{what}（{level}），只有 {kept} 保持原来的类别。',
  ],
  findRobust: [
    'Apart from shifts, no disturbance changed the class of more than {changed} of the pictures.',
    '除平移外，没有一种扰动使超过 {changed} 的图片改变类别。',
  ],
  findRobustAll: ['Apart from shifts, no disturbance changed a class.', '除平移外，没有一种扰动改变类别。'],
  findOneClass: [
    'All pictures were given one class, so that little can change: take pictures of several classes.',
    '所有图片都被判为同一类别，因此几乎不会改变：请使用多个类别的图片。',
  ],
  findFewOne: [
    'One picture says little about a model: a hundred say more.',
    '一张图片说明不了什么：一百张更有说服力。',
  ],
  findFew: [
    '{count} pictures say little about a model: a hundred say more.',
    '{count} 张图片说明不了什么：一百张更有说服力。',
  ],

  curvesHow: [
    'Solid: of the disturbed pictures, the share that is still given the class of the undisturbed one. Dashed: how likely the model finds that class ' +
      'on average. Whether the class was right does not count here, only whether the answer holds. A flat curve is a robust model; one that falls early ' +
      'shows what the model leans on.',
    '实线：扰动后的图片中，仍被判为原图类别的比例。虚线：模型给该类别的平均概率。这里不看类别是否正确，只看回答是否保持不变。' +
      '曲线平坦说明模型鲁棒；曲线下降得早，说明模型依赖于被扰动的特征。',
  ],
  keyKept: ['class stays', '类别不变'],
  keyProbability: ['probability of that class', '该类别的概率'],
  looksHow: [
    'Some of the pictures at the strengths measured, with the answer below each: green where the class stays, orange where it changes. Where a ' +
      'disturbance goes several ways, such as a shift to four sides, the first is shown.',
    '部分图片在各个强度下的样子，下方是模型的回答：绿色表示类别不变，橙色表示类别改变。若一种扰动有多个方向（如向四边平移），只显示第一个。',
  ],
  numbersHow: [
    'Class stays: the share of disturbed pictures given the class of the undisturbed one. Probability: of that class, on average. Change: of the ' +
      'probability, in percentage points.',
    '类别不变：扰动后的图片中仍被判为原图类别的比例。概率：该类别的平均概率。变化：概率的变化，以百分点计。',
  ],
  disturbedBy: ['disturbed by', '扰动'],
  howMuch: ['how much', '强度'],
  classStays: ['class stays', '类别不变'],
  probability: ['probability', '概率'],
  change: ['change', '变化'],
  disturbedCount: ['disturbed pictures', '扰动后的图片'],

  whyConvolution: [
    'A convolution answers alike wherever a pattern stands: shift the picture by one pixel, and its map shifts by one pixel. A layer with a stride of ' +
      '2, or pooling by 2, keeps every second value of that map. After a shift by one pixel it keeps the others, and details finer than that grid come ' +
      'out differently: aliasing, as the sampling theorem has it. Layer after layer this adds up. With strides that multiply to s, only shifts by ' +
      'multiples of s pass unchanged, and those only away from the border, where padding is seen as well.',
    '无论图案在哪里，卷积的响应都相同：图片平移一个像素，特征图也平移一个像素。步长为 2 的层或 2 倍池化只保留特征图中每隔一个的值；' +
      '平移一个像素后，保留下来的是另外那些值，比采样网格更细的细节就会不同：这就是采样定理所说的混叠。这种差异逐层累积。若各层步长之积为 s，' +
      '只有平移 s 的整数倍才不受影响，而且仅限于远离边界处，因为边界处还会看到填充。',
  ],
  whyMeasured: [
    'Azulay and Weiss (2019) measured that well-known networks change their answers when a picture moves by a few pixels, deeper ones more often, and ' +
      'that augmentation teaches invariance only for pictures like those of training. Zhang (2019) blurs before every subsampling (anti-aliasing): ' +
      'answers hold better under shifts, and accuracy rises too.',
    'Azulay 和 Weiss（2019）测得：图片只移动几个像素，知名网络的回答就会改变，网络越深越常见；而数据增强只能让模型对与训练图片相似的图片学会不变性。' +
      'Zhang（2019）在每次下采样之前先做模糊（抗混叠）：平移时回答更稳定，准确率也有所提高。',
  ],
  whyHelps: [
    'What helps: training with shifted, zoomed and recoloured copies ({light}, {standard}), pictures that differ as yours will, fewer strides in the ' +
      'first layers, or a blur before each of them.',
    '有效的做法：用平移、缩放、改变颜色的样本训练，例如 {light} 或 {standard} ；让训练图片的变化与实际使用时一致；减少前几层的步长，或在下采样之前加模糊。',
  ],
  literature: ['Literature', '文献'],

  shift: ['Shift', '平移'],
  shiftHow: ['four ways; the border’s pixels go on', '上下左右四个方向，露出处延续边缘像素'],
  rotation: ['Rotation', '旋转'],
  rotationHow: ['both ways about the middle', '绕中心，两个方向'],
  zoom: ['Zoom', '缩放'],
  zoomHow: ['about the middle; above 1 is nearer', '以中心缩放，大于 1 为放大'],
  crop: ['Corner crop', '角落裁剪'],
  cropHow: ['each of the four corners, enlarged to the whole', '四个角各裁一块，再放大到原尺寸'],
  noise: ['Noise', '噪声'],
  noiseHow: ['Gaussian; σ in grey levels of 0 – 255', '高斯噪声，σ 以 0 – 255 的灰度级计'],
  blur: ['Blur', '模糊'],
  blurHow: ['Gaussian; σ in pixels', '高斯模糊，σ 以像素计'],
  brightness: ['Brightness', '亮度'],
  brightnessHow: ['every value multiplied', '所有像素值乘以该倍数'],

  axisPixels: ['pixels', '像素'],
  axisDegrees: ['degrees', '度'],
  axisTimes: ['factor', '倍数'],
  axisSide: ['share of the side', '边长比例'],
  axisGrey: ['grey levels', '灰度级'],
  levelShift: ['±{level} px', '±{level} 像素'],
  levelPixels: ['{level} px', '{level} 像素'],
  levelDegrees: ['±{level}°', '±{level}°'],
  levelTimes: ['× {level}', '× {level}'],
  levelSide: ['{level} of the side', '边长的 {level}'],
  levelGrey: ['{level} grey levels', '{level} 灰度级'],
  levelOther: ['{level} {unit}', '{level} {unit}'],
} as const satisfies Record<string, readonly [en: string, zh: string]>;
