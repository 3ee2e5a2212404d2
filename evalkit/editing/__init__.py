"""One method over many items, into an edit folder."""

from evalkit.editing.edit import Edited, edit_folder

__all__ = ["Edited", "edit_folder"]
