"""`imgnn serve`: a page and a JSON API in front of the jobs, for one person or a few.

api.py         what goes in and out, with every limit
routes.py      a function for each route
reference.py   the API as a page to read
guard.py       what every request must pass before a route sees it
server.py      the socket, and the server on it
site.py        what the routes use, made once
voices.py      the models, which speak in one thread
pictures.py    uploads in, pictures out
statistics.py  what is told of a run's data
studio.py      style and dream jobs as child processes, and the gallery
ratings.py     what people thought of boke, as data to train on
page/          the page itself: plain files, served by name

Routes call `imgnn.jobs` just as `imgnn.cli` does; nothing there knows of this folder.
"""
