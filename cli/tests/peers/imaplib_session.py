"""A session with Python's imaplib: host, port, user and password are the arguments. Ends with an error at the first surprise."""

import imaplib
import sys
import time

host, port, user, password = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
mail = b"From: a@example.org\r\nSubject: =?utf-8?q?gr=C3=BC=C3=9Fe?=\r\n\r\nbody\r\n"


def ok(answer):
    assert answer[0] == "OK", answer
    return answer[1]


with imaplib.IMAP4(host, port, timeout=30) as imap:
    assert "IMAP4REV1" in imap.capabilities
    ok(imap.login(user, password))
    ok(imap.create("Python"))
    ok(imap.subscribe("Python"))
    assert any(b"Python" in line for line in ok(imap.lsub()))
    date = imaplib.Time2Internaldate(time.time())
    for number in range(3):
        ok(imap.append("Python", "\\Seen" if number == 1 else None, date, mail))
    assert ok(imap.select("Python")) == [b"3"]
    assert ok(imap.search(None, "UNSEEN")) == [b"1 3"]
    assert ok(imap.uid("SEARCH", "SUBJECT", "x")) == [b""]
    imap.literal = "grüße".encode()
    assert ok(imap.search("UTF-8", "SUBJECT")) == [b"1 2 3"]
    fetched = ok(imap.fetch("1", "(RFC822.SIZE BODY.PEEK[])"))
    assert fetched[0][1] == mail, fetched
    ok(imap.store("1:2", "+FLAGS", "(\\Deleted $Work)"))
    ok(imap.copy("3", "INBOX"))
    assert len(ok(imap.expunge())) == 2
    assert ok(imap.status("Python", "(MESSAGES UNSEEN)")) == [b"Python (MESSAGES 1 UNSEEN 1)"]
    ok(imap.unselect())
    ok(imap.enable("CONDSTORE"))
    ok(imap.rename("Python", "Snake"))
    assert any(b"Snake" in line for line in ok(imap.list()))
    ok(imap.delete("Snake"))
print("done")
