"""Data sets: where pictures come from, which class they belong to, and what was done with them.

sources.py, synsets.py, boke_pages.py   lists of addresses in the forms that are met
journal.py    what became of every address; items.py: what goes in and out; outcomes.py: how an address can end;
              merge.py, export.py: journals into one, and elsewhere
addresses.py, robots.py   which addresses may be asked
download.py   one address; crawl.py: many, with what each host can bear; keeping.py: from bytes to a picture file
lists.py      list files (`path label`), class words, and the record that tells a stale list
gather.py     pictures with their labels, out of class folders or out of lists
inspected.py  what is known of every picture, decoded once and kept
checks.py     what is wrong with pictures, alone and among each other; findings.py: its kinds and files
duplicates.py, placeholders.py   pictures that look alike; pictures that stand for one that is gone
split.py      train, val and test; labelled.py: pictures to train on, and to judge by
drawn_classes.py   pictures of classes that are drawn, for the demo
captions.py   pictures with sentences; caption_files.py, caption_readers.py: the forms that they come in;
              caption_checks.py: what is in them, and wrong with them; features_mat.py: features that come with them;
              feature_cache.py: what networks gave of pictures, kept as inspected.py's: kept_file.py
boke.py       pictures with funny lines; boke_readers.py, boke_checks.py as of captions
known_pictures.py  the pictures of a trained model, what was said of them, and their features
batches.py    pictures in batches, decoded ahead, in an order that can be resumed
moments.py    the sums of a mean, whole numbers; mean_record.py: what the mean was computed of
spread.py     the same function over many things, on this machine's cores or on a Dask cluster
"""
