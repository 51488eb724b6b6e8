"""Training a network, shared by all that is trained; what it is trained on comes from outside.

recipes.py       what is trained in which stage, and how fast
trainer.py       a network divided at what is trained; one step, one answer
optimizers.py    Keras's, with a pace for each variable; schedule.py the rate over the steps; lr_find.py a good one
svm.py           a linear classifier solved in one go
training_run.py  the life of a training: stopped, saved, drawn, and what is said when it fails
checkpoint.py    what a training knows between two steps, in a file; run_folder.py the folder it lies in
sentences.py     captions in batches of about one length; sentence_trainer.py a step of a decoder, joint_trainer.py with
                 its network; likelihood.py how probable decoders find sentences
pairing.py       which boke of a picture are learnt, and the least that they can cost
run_log.py       the rows of a log; curves.py, caption_curves.py, boke_curves.py, events.py, report.py what is made of
                 them
scores.py        how right a classifier is; health.py whether a training is on a good way
"""
