"""One function for each command: for the command line, the web page, a notebook, a test.

A job reads and writes the files it is told of, reports through the `Reporter` it is given, raises
`ImgnnError`, and returns a small result. What TensorFlow logs is kept quiet (IMGNN_DEBUG=1 brings it back).

fetch.py      fetch_pictures, merge_journals, look; fetch_dask.py: by the workers of a cluster;
              fetch_journal.py: stories_of, export_journal
label.py      label_pictures; label_sheets.py: contact sheets of what it found
mean.py       compute_mean, merge_means; mean_results.py what they write
finetune.py   finetune, resume; finetune_probe.py: dry_run; finetune_rate.py: find_learning_rate
              finetune_data.py what a run is trained on, finetune_run.py the run under way, finetune_layers.py what it
              changes, finetune_report.py the page at its end
classify.py   classify_images; evaluate.py: evaluate_classifier
train_caption.py, train_boke.py   train_caption, resume_caption; train_boke, resume_boke; boke_experiment.py
              caption_data.py, boke_data.py, boke_texts.py, sentence_data.py, sentence_sources.py what they are trained
              on; caption_run.py, boke_run.py, sentence_run.py the run under way
caption.py    caption_images; caption_explain.py: which place speaks for which word
boke.py       make_boke; boke_writer.py draws lines, boke_donors.py finds pictures that lend them
evaluate_caption.py   evaluate_captions; evaluate_caption_models.py, evaluate_caption_scores.py, its two steps;
              evaluate_caption_files.py, what it writes; evaluate_boke.py: evaluate_boke
sentence_model.py     a trained model of captions or boke; picture_features.py: what it sees of pictures
style.py      stylise; style_plan.py what is settled before, style_canvas.py one size, style_state.py what a stopped run
              goes on with; style_probe.py: --dry-run; style_grid.py: --grid
dream.py      dream_picture, dream_zoom; dreamer.py: who dreams; class_picture.py: draw_class; channels.py:
              draw_channels; drawing.py: how both of these draw
convert.py    convert_caffemodel; convert_plan.py which network a file is, convert_facts.py what else is known of it
networks.py   list_networks, describe_network
demo.py       the files and the page of `imgnn demo`
load.py       a network by any name; named.py: the same before Keras wakes; features.py: what its frozen part gives
"""

from imgnn import start
from imgnn.runs import is_set

if not is_set("IMGNN_DEBUG"):
    start.quiet()
