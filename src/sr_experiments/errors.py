"""The one exception a user is meant to read."""


class UserError(Exception):
    """A mistake the user can mend: the message says what was asked, found and to be done.

    It is shown as a single line without a traceback. Anything else that escapes is a defect of
    the suite and keeps its traceback.
    """
