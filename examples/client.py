"""Separate a song with `soloist serve`: python client.py http://127.0.0.1:8000 song.mp3 stems.zip."""

import json
import shutil
import sys
import urllib.parse
import urllib.request
from pathlib import Path

page, song, target = sys.argv[1:]
query = urllib.parse.urlencode({"name": song, "offer": "stems"})
request = urllib.request.Request(f"{page}/api/jobs?{query}", Path(song).read_bytes())
with urllib.request.urlopen(request) as answer:
    job = json.load(answer)
with urllib.request.urlopen(f"{page}/api/jobs/{job['id']}/events") as events:
    for line in events:
        if line.startswith(b"data: "):
            job = json.loads(line.removeprefix(b"data: "))
            print(job["state"], job["phase"], f"{job['done']:.0f} s")
if job["state"] != "finished":
    sys.exit(job["error"])
with (
    urllib.request.urlopen(f"{page}/api/jobs/{job['id']}/stems.zip?format=wav") as answer,
    open(target, "wb") as file,
):
    shutil.copyfileobj(answer, file)
