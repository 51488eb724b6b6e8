"""Sentences: words in and out, and how good they are. Shared by all that writes sentences for pictures.

tokens.py     English text to tokens, and back; light, as metrics.py is
tokenizers.py texts of any language to tokens, and back: characters, words, Japanese words
metrics.py    BLEU, ROUGE-L, CIDEr-D against reference sentences; how diverse sentences are, and how new; what is
              told by what a model finds probable
meteor.py     METEOR, where Java and pycocoevalcap are found
novelty.py    whether a text is new, and the nearest known one; ng_words.py: what a text may not have
vocabulary.py the words that a decoder knows; decoder.py: the network that says what comes next
steps.py      a language model as decoding sees it, compiled or not; several as one, or one against another
rules.py      what every sentence keeps to, and how it comes out; beam.py, sample.py: the best ones, or drawn ones
"""
