"""Copies of tags and cover pictures between files of any formats."""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import mutagen
from mutagen import id3
from mutagen.flac import FLAC, Picture
from mutagen.mp3 import MP3
from mutagen.mp4 import MP4, MP4Cover, MP4FreeForm, MP4Tags
from mutagen.oggopus import OggOpus
from mutagen.oggvorbis import OggVorbis
from mutagen.wave import WAVE

_FRONT_COVER = 3
_FREEFORM = "----:com.apple.iTunes:"

# Copied tags: name in Vorbis comments, ID3 frame, MP4 atom. Tags that describe the source file (encoder,
# loudness) are not copied.
_FIELDS = (
    ("title", "TIT2", "\xa9nam"),
    ("artist", "TPE1", "\xa9ART"),
    ("album", "TALB", "\xa9alb"),
    ("albumartist", "TPE2", "aART"),
    ("composer", "TCOM", "\xa9wrt"),
    ("genre", "TCON", "\xa9gen"),
    ("date", "TDRC", "\xa9day"),
    ("comment", "COMM", "\xa9cmt"),
    ("lyrics", "USLT", "\xa9lyr"),
    ("copyright", "TCOP", "cprt"),
    ("isrc", "TSRC", _FREEFORM + "ISRC"),
    ("initialkey", "TKEY", _FREEFORM + "initialkey"),
    ("bpm", "TBPM", "tmpo"),
    ("tracknumber", "TRCK", "trkn"),
    ("discnumber", "TPOS", "disk"),
)
_TOTALS = MappingProxyType({"tracknumber": "tracktotal", "discnumber": "disctotal"})


@dataclass
class Tags:
    """Tags by their names in Vorbis comments (numbers as "3" or "3/12"), and the cover, if any."""

    text: dict[str, list[str]] = field(default_factory=dict)
    cover: bytes | None = None
    cover_type: str = "image/jpeg"


def copy_tags(source: Path | None, target: Path, target_format: str, comment: str | None = None) -> None:
    """Copy tags and cover from one file to another of a format in `FORMATS`, and add a comment.

    Unreadable tags of the source are ignored. RF64 files get no tags: there is no agreed place for them.

    Args:
        source: File that has the tags; None for none.
        target: File that gets them.
        target_format: Its format.
        comment: Comment behind those of the source.

    Raises:
        OSError: The target cannot be written.
        mutagen.MutagenError: The target is not a file of its format.
    """
    tags = Tags() if source is None else read_tags(source)
    if comment is not None:
        earlier = [each for each in tags.text.get("comment", []) if each != comment]
        tags.text["comment"] = [*earlier, comment]
    if tags.text or tags.cover:
        write_tags(tags, target, target_format)


def read_tags(path: Path) -> Tags:
    """Read the tags and the cover of a file; empty if it has none or they cannot be read."""
    try:
        file = mutagen.File(path)
    except Exception:  # Damaged tags raise errors of any kind, such as KeyError.
        return Tags()
    if file is None or file.tags is None:
        return Tags()
    if isinstance(file.tags, id3.ID3):
        return _from_id3(file.tags)
    if isinstance(file.tags, MP4Tags):
        return _from_mp4(file.tags)
    if isinstance(file, (FLAC, OggVorbis, OggOpus)):
        return _from_vorbis(file)
    return Tags()


def write_tags(tags: Tags, path: Path, target_format: str) -> None:
    """Write tags into a file of a format in `FORMATS`, and keep those of its encoder."""
    if target_format == "wav" and not _is_riff(path):
        return
    opener, write = _WRITERS[target_format]
    file = opener(path)
    if file.tags is None:
        file.add_tags()
    write(file, tags)
    file.save()


def _from_id3(frames: id3.ID3) -> Tags:
    tags = Tags()
    for name, frame_id, _ in _FIELDS:
        found = frames.getall(frame_id)
        if found:
            text = found[0].text
            tags.text[name] = [str(value) for value in (text if isinstance(text, list) else [text])]
    pictures = sorted(frames.getall("APIC"), key=lambda picture: picture.type != _FRONT_COVER)
    if pictures:
        tags.cover, tags.cover_type = pictures[0].data, pictures[0].mime
    return tags


def _from_mp4(atoms: MP4Tags) -> Tags:
    tags = Tags()
    for name, _, key in _FIELDS:
        values = atoms.get(key)
        if values:
            tags.text[name] = [_mp4_text(value) for value in values]
    for cover in atoms.get("covr", ())[:1]:
        png = cover.imageformat == MP4Cover.FORMAT_PNG
        tags.cover, tags.cover_type = bytes(cover), "image/png" if png else "image/jpeg"
    return tags


def _mp4_text(value: Any) -> str:
    if isinstance(value, tuple):
        return f"{value[0]}/{value[1]}" if value[1] else str(value[0])
    return bytes(value).decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _from_vorbis(file: Any) -> Tags:
    comments: Mapping[str, list[str]] = file.tags
    tags = Tags({name: list(comments[name]) for name, _, _ in _FIELDS if comments.get(name)})
    for name, total in _TOTALS.items():
        if name in tags.text and total in comments and "/" not in tags.text[name][0]:
            tags.text[name] = [f"{tags.text[name][0]}/{comments[total][0]}"]
    pictures = list(file.pictures) if isinstance(file, FLAC) else _embedded_pictures(comments)
    pictures.sort(key=lambda picture: picture.type != _FRONT_COVER)
    if pictures:
        tags.cover, tags.cover_type = pictures[0].data, pictures[0].mime
    return tags


def _embedded_pictures(comments: Mapping[str, list[str]]) -> list[Picture]:
    try:
        return [Picture(base64.b64decode(text)) for text in comments.get("metadata_block_picture", ())]
    except (mutagen.MutagenError, ValueError, struct.error):
        return []


def _to_id3(file: Any, tags: Tags) -> None:
    for name, frame_id, _ in _FIELDS:
        values = tags.text.get(name)
        if not values:
            continue
        kind = getattr(id3, frame_id)
        if frame_id == "USLT":
            file.tags.add(kind(encoding=id3.Encoding.UTF8, lang="eng", desc="", text="\n".join(values)))
        elif frame_id == "COMM":
            file.tags.add(kind(encoding=id3.Encoding.UTF8, lang="eng", desc="", text=values))
        else:
            file.tags.add(kind(encoding=id3.Encoding.UTF8, text=values))
    if tags.cover:
        picture = id3.APIC(
            encoding=id3.Encoding.UTF8, mime=tags.cover_type, type=_FRONT_COVER, desc="", data=tags.cover
        )
        file.tags.add(picture)


def _to_mp4(file: Any, tags: Tags) -> None:
    for name, _, key in _FIELDS:
        values = tags.text.get(name)
        if values and (content := _mp4_content(name, key, values)):
            file.tags[key] = content
    if tags.cover:
        is_png = tags.cover_type == "image/png"
        kind = MP4Cover.FORMAT_PNG if is_png else MP4Cover.FORMAT_JPEG
        file.tags["covr"] = [MP4Cover(tags.cover, kind)]


def _mp4_content(name: str, key: str, values: list[str]) -> list[Any]:
    """Content of an atom; empty if the atom takes a number and the tag is not one."""
    if name in _TOTALS:
        numbers = [int(part) for part in values[0].split("/") if part.isdecimal()]
        return [(numbers[0], numbers[1] if len(numbers) > 1 else 0)] if numbers else []
    if name == "bpm":
        try:
            return [round(float(values[0]))]
        except (ValueError, OverflowError):
            return []
    if key.startswith(_FREEFORM):
        return [MP4FreeForm(value.encode()) for value in values]
    return values


def _to_vorbis(file: Any, tags: Tags) -> None:
    for name, values in tags.text.items():
        file.tags[name] = values
        if name in _TOTALS and "/" in values[0]:
            number, total = values[0].split("/", 1)
            file.tags[name], file.tags[_TOTALS[name]] = [number], [total]
    if not tags.cover:
        return
    picture = Picture()
    picture.type, picture.mime, picture.data = _FRONT_COVER, tags.cover_type, tags.cover
    if isinstance(file, FLAC):
        file.add_picture(picture)
    else:
        file.tags["metadata_block_picture"] = [base64.b64encode(picture.write()).decode()]


def _is_riff(path: Path) -> bool:
    with open(path, "rb") as file:
        return file.read(4) == b"RIFF"


_WRITERS: Mapping[str, tuple[Callable[[Path], Any], Callable[[Any, Tags], None]]] = MappingProxyType(
    {
        "wav": (WAVE, _to_id3),
        "mp3": (MP3, _to_id3),
        "flac": (FLAC, _to_vorbis),
        "ogg": (OggVorbis, _to_vorbis),
        "opus": (OggOpus, _to_vorbis),
        "m4a": (MP4, _to_mp4),
        "stem": (MP4, _to_mp4),
    }
)
