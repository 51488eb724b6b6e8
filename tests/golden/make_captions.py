"""Makes captions.json: tokens and scores as pycocoevalcap, which is coco-caption, has them.

    python -m venv /tmp/coco && /tmp/coco/bin/pip install pycocoevalcap==1.2      # and Java
    /tmp/coco/bin/python tests/golden/make_captions.py [../shared]

Sentences made up to meet the tokenizer's rules, and hypotheses of every kind. Of the captions in `shared`, which are
not ours to ship, a hash of their tokens.
"""

import hashlib
import json
import sys
from importlib.metadata import version
from pathlib import Path

from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.meteor.meteor import Meteor
from pycocoevalcap.rouge.rouge import Rouge
from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))
from tests.language.texts import shared_texts  # noqa: E402

TEXTS = """
A man, a dog and a cat: three friends. Really?! Yes... no! -- well; maybe
He cannot stop; they're gonna run, we wanna go and I gotta stay. Lemme see! 'Tis late, 'twas early.
I'm sure you've seen it's his, she'd know he'll come. They don't, won't and can't. DON'T! IT ISN'T.
The man's dogs' toys are the boys'. A bird's-eye view of a mother-in-law's house at 5 o'clock, ma'am.
Y'all eat fish 'n' chips, rock 'n' roll, hors d'oeuvres and jack-o'lanterns; get 'em. C'mon, O'Brien and D'Angelo!
Mr. Smith and mrs. jones meet Dr. Who on Main St. near the U.S. flag in Jan. or feb. at 5 p.m. or 10 a.m. today.
The t.v. shows S.C.U.B.A. divers, cats, etc. in D.C. with J.K. Rowling vs. Sgt. Pepper on 5th ave.
A photo of no. 5 and No. 12. It says no. The size is 6 ft. and 4 in. tall, art. 5 of fig. 3
A train at mt. rainier with a wash. Then a mass. On the Miss. river, in Mass. too, with a miss.
He has plan b. The dog has plan b. and a cat plan x. for them
Half: 1/2 of 50% of $5.50, 1,000 people at 10:30 or 5:54pm, 3.14 and .5 of the 1990's and '80s and 1960s, #5
A 4-wheeler, 50/50 grind, 3-D, 24/7, 1.5-meter board, B-25, size 747s, -5 degrees, +3, 2x4, 3rd, 21st and 12-25
A black-and-white t-shirt and/or hi-viz vest, a food- truck beach--kite -up, pizza/ his/her skating/skiing
It;s a p;ayer of laptops,computer,keyboard RAIN,SOME stairs.A dog enjoying.It bat., carriage.on and canister;
(left) [right] {both} a & b, AT&T, at&t, H&M, R&B, a=b, a+b, a*b, x > y, 5 @ 6, #tag, @home, tag_underscore
www.example.com. and http://www.example.org/a?b=c, statefarm.com; <unk> <b>bold</b>
"double" 'single' ``back'' `x` and a "quoted 'inner' word" here
“curly” ‘single’ man’s it’s can’t — em – en … dots, café naïve São Paulo Übung, £10 €20 5¢ ½ cup
bread &amp; butter &quot;here&quot; &lt; there
A 😀 smile, a ♥ and ★, ¿qué?, 日本 語
multi- coloured, grey theatre ! ? !! ??
""".strip().split("\n")

# A hypothesis and its references, already tokens.
CAPTIONS = [
    ("a dog runs on the grass", ["a dog runs on the grass", "a brown dog is running in a field"]),
    ("a man rides a horse", ["a man is riding a brown horse on the beach", "a person on a horse", "someone rides"]),
    ("the the the the the the the", ["the cat is on the mat", "there is a cat on the mat"]),
    ("two children", ["two children play with a red ball", "two kids play ball in the park", "two children"]),
    ("dog", ["a dog", "the dog sleeps on a couch"]),
    ("a plate with a fork and a knife on a table", ["food on a white plate", "a plate of food on a wooden table"]),
    ("people stand near water", ["a boat", "an old wooden boat lies at the shore of a lake", "boats"]),
    ("a woman holds a cup of tea and a cup of coffee", ["a woman with a cup of tea", "a cup of tea in her hand"]),
    ("a man is riding a brown horse on the beach", ["a man rides a horse", "a horse on the beach with a man"]),
    ("", ["a cat on a chair", "the cat sits"]),
]


def tokens(texts):
    """Tokens of each text."""
    found = PTBTokenizer().tokenize({number: [{"caption": text}] for number, text in enumerate(texts)})
    return [found[number][0] for number in range(len(texts))]


hypotheses = {number: [hypothesis] for number, (hypothesis, _) in enumerate(CAPTIONS)}
references = {number: refs for number, (_, refs) in enumerate(CAPTIONS)}
bleu, bleus = Bleu(4).compute_score(references, hypotheses, verbose=0)
rouge, rouges = Rouge().compute_score(references, hypotheses)
cider, ciders = Cider().compute_score(references, hypotheses)
meteor, _ = Meteor().compute_score(references, hypotheses)
path = HERE / "captions.json"
shared = {}
if len(sys.argv) > 1:
    for name, texts in shared_texts(Path(sys.argv[1])).items():
        digest = hashlib.sha256("\n".join(tokens(texts)).encode()).hexdigest()
        shared[name] = {"texts": len(texts), "sha256": digest}
elif path.exists():
    shared = json.loads(path.read_text(encoding="utf-8"))["shared"]
golden = {
    "made_by": f"tests/golden/make_captions.py with pycocoevalcap {version('pycocoevalcap')}",
    "tokens": list(zip(TEXTS, tokens(TEXTS), strict=True)),
    "shared": shared,
    "captions": CAPTIONS,
    "bleu": bleu,
    "bleu_of_each": list(zip(*bleus, strict=True)),
    "rouge_l": float(rouge),
    "rouge_l_of_each": rouges.tolist(),
    "cider_d": float(cider),
    "cider_d_of_each": ciders.tolist(),
    "meteor": meteor,
}
path.write_text(json.dumps(golden, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
