"""The models that Soloist knows: cards, folders on disk, downloads, importers."""
