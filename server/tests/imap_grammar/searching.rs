//! What the grammar makes of searches.

use expect_test::expect;

use super::check;

#[test]
fn searching() {
    check(&expect![[r#"
        > a SEARCH ALL
        Search(Search { numbers: Sequence, returns: None, charset: None, keys: [All] })
        > a UID SEARCH unseen 1:5,* UID 7:*
        Search(Search { numbers: Uid, returns: None, charset: None, keys: [NotFlag(SystemFlags(1)), Sequence(SequenceSet([(Number(1), Number(5)), (Star, Star)])), Uid(SequenceSet([(Number(7), Star)]))] })
        > a SEARCH RETURN () CHARSET utf-8 TEXT {4}|éé
        Search(Search { numbers: Sequence, returns: Some(SearchReturn { min: false, max: false, all: true, count: false, save: false, partial: None, relevancy: false }), charset: Some("utf-8"), keys: [Text([195, 169, 195, 169])] })
        > a SEARCH RETURN (MIN MAX COUNT ALL) ALL
        Search(Search { numbers: Sequence, returns: Some(SearchReturn { min: true, max: true, all: true, count: true, save: false, partial: None, relevancy: false }), charset: None, keys: [All] })
        > a SEARCH RETURN (SAVE) ALL
        Search(Search { numbers: Sequence, returns: Some(SearchReturn { min: false, max: false, all: false, count: false, save: true, partial: None, relevancy: false }), charset: None, keys: [All] })
        > a SEARCH RETURN (SAVE MIN PARTIAL 10:1) ALL
        Search(Search { numbers: Sequence, returns: Some(SearchReturn { min: true, max: false, all: false, count: false, save: true, partial: Some(Page { first: 10, last: 1, from_end: false }), relevancy: false }), charset: None, keys: [All] })
        > a SEARCH RETURN (partial -1:-100 COUNT) ALL
        Search(Search { numbers: Sequence, returns: Some(SearchReturn { min: false, max: false, all: false, count: true, save: false, partial: Some(Page { first: 1, last: 100, from_end: true }), relevancy: false }), charset: None, keys: [All] })
        > a SEARCH RETURN (PARTIAL 1:-100) ALL
        a BAD a range of PARTIAL counts from one end
        > a SEARCH RETURN (PARTIAL 0:1) ALL
        a BAD a number here is at least 1
        > a SEARCH RETURN (PARTIAL 1:*) ALL
        a BAD expected a range such as 1:100 or -1:-100 at byte 28
        > a SEARCH RETURN (PARTIAL) ALL
        a BAD expected a space and an argument at byte 25
        > a SEARCH RETURN (PARTIAL 1:2 ALL) ALL
        a BAD PARTIAL and ALL exclude each other
        > a SEARCH RETURN (PARTIAL 1:2 PARTIAL 3:4) ALL
        a BAD PARTIAL can be asked for once
        > a SEARCH RETURN (FOO) ALL
        a BAD unknown return option FOO
    "#]]);
}

#[test]
fn searching_by_keys() {
    check(&expect![[r#"
        > a SEARCH NOT (SEEN OR FROM a TO "b c") DRAFT
        Search(Search { numbers: Sequence, returns: None, charset: None, keys: [Not(And([Flag(SystemFlags(1)), Or([Header("FROM", [97]), Header("TO", [98, 32, 99])])])), Flag(SystemFlags(16))] })
        > a SEARCH BCC a CC b SUBJECT c BODY d TEXT e HEADER X-Y ""
        Search(Search { numbers: Sequence, returns: None, charset: None, keys: [Header("BCC", [97]), Header("CC", [98]), Header("SUBJECT", [99]), Body([100]), Text([101]), Header("X-Y", [])] })
        > a SEARCH ANSWERED DELETED FLAGGED RECENT NEW OLD UNANSWERED UNDELETED UNDRAFT UNFLAGGED
        Search(Search { numbers: Sequence, returns: None, charset: None, keys: [Flag(SystemFlags(2)), Flag(SystemFlags(8)), Flag(SystemFlags(4)), Recent, New, Old, NotFlag(SystemFlags(2)), NotFlag(SystemFlags(8)), NotFlag(SystemFlags(16)), NotFlag(SystemFlags(4))] })
        > a SEARCH KEYWORD work UNKEYWORD $x
        Search(Search { numbers: Sequence, returns: None, charset: None, keys: [Keyword("work"), NotKeyword("$x")] })
        > a SEARCH BEFORE 1-Feb-1970 ON "31-Dec-1969" SINCE 01-Jan-1970 SENTBEFORE 2-Jan-1970 SENTON 3-Jan-1970 SENTSINCE 4-Jan-1970
        Search(Search { numbers: Sequence, returns: None, charset: None, keys: [Before(Internal, 31), On(Internal, -1), Since(Internal, 0), Before(Sent, 1), On(Sent, 2), Since(Sent, 3)] })
        > a SEARCH SAVEDBEFORE 2-Jan-1970 SAVEDON 3-Jan-1970 SAVEDSINCE 4-Jan-1970 SAVEDATESUPPORTED
        Search(Search { numbers: Sequence, returns: None, charset: None, keys: [Before(Saved, 1), On(Saved, 2), Since(Saved, 3), SaveDateSupported] })
        > a SEARCH LARGER 10 SMALLER 9223372036854775807
        Search(Search { numbers: Sequence, returns: None, charset: None, keys: [Larger(10), Smaller(9223372036854775807)] })
        > a SEARCH MODSEQ 620162338
        Search(Search { numbers: Sequence, returns: None, charset: None, keys: [ModSeq(620162338)] })
        > a SEARCH MODSEQ "/flags/\\draft" all 620162338 EMAILID M1 THREADID T1
        Search(Search { numbers: Sequence, returns: None, charset: None, keys: [ModSeq(620162338), EmailId("M1"), ThreadId("T1")] })
        > a SEARCH $
        Search(Search { numbers: Sequence, returns: None, charset: None, keys: [Sequence(SequenceSet([(Saved, Saved)]))] })
        > a SEARCH UID $ NOT 1:3,$
        Search(Search { numbers: Sequence, returns: None, charset: None, keys: [Uid(SequenceSet([(Saved, Saved)])), Not(Sequence(SequenceSet([(Number(1), Number(3)), (Saved, Saved)])))] })
        > a SEARCH $,1
        a BAD expected the end of the line at byte 11
        > a SEARCH $:5
        a BAD expected the end of the line at byte 11
        > a SEARCH FOO
        a BAD unknown search key FOO
        > a SEARCH
        a BAD the command ends too early: expected a space and an argument
        > a SEARCH NOT
        a BAD the command ends too early: expected a space and an argument
        > a SEARCH OR SEEN
        a BAD the command ends too early: expected a space and an argument
        > a SEARCH ()
        a BAD expected a search key at byte 11
        > a SEARCH (SEEN
        a BAD the command ends too early: expected a search key
        > a SEARCH ON 30-Feb-2000
        a BAD there is no such day
        > a SEARCH ON x
        a BAD expected a date at byte 13
        > a SEARCH LARGER 9223372036854775808
        a BAD a number here is less than 9223372036854775808
        > a SEARCH MODSEQ x
        a BAD expected a modseq at byte 17
        > a SEARCH SUBJECT é
        a BAD expected a text at byte 18
        > a SEARCH CHARSET x
        a BAD the command ends too early: expected a space and an argument
        > a SEARCH ALL 
        Search(Search { numbers: Sequence, returns: None, charset: None, keys: [All] })
    "#]]);
}

#[test]
fn sorting_and_threading() {
    check(&expect![[r#"
        > a SORT (SUBJECT reverse DATE) UTF-8 SINCE 1-Feb-1970
        Sort(Sort { by: [SortBy { key: Subject, reverse: false }, SortBy { key: Date, reverse: true }], search: Search { numbers: Sequence, returns: None, charset: Some("UTF-8"), keys: [Since(Internal, 31)] } })
        > a UID SORT RETURN (COUNT) (REVERSE DISPLAYFROM ARRIVAL) us-ascii 1:*
        Sort(Sort { by: [SortBy { key: DisplayFrom, reverse: true }, SortBy { key: Arrival, reverse: false }], search: Search { numbers: Uid, returns: Some(SearchReturn { min: false, max: false, all: false, count: true, save: false, partial: None, relevancy: false }), charset: Some("us-ascii"), keys: [Sequence(SequenceSet([(Number(1), Star)]))] } })
        > a SORT (CC DISPLAYTO FROM SIZE TO REVERSE CC) UTF-8 ALL
        Sort(Sort { by: [SortBy { key: Cc, reverse: false }, SortBy { key: DisplayTo, reverse: false }, SortBy { key: From, reverse: false }, SortBy { key: Size, reverse: false }, SortBy { key: To, reverse: false }], search: Search { numbers: Sequence, returns: None, charset: Some("UTF-8"), keys: [All] } })
        > a SORT RETURN () (DATE) "UTF-8" ALL
        Sort(Sort { by: [SortBy { key: Date, reverse: false }], search: Search { numbers: Sequence, returns: Some(SearchReturn { min: false, max: false, all: true, count: false, save: false, partial: None, relevancy: false }), charset: Some("UTF-8"), keys: [All] } })
        > a SORT (REVERSE) UTF-8 ALL
        a BAD expected a space and an argument at byte 16
        > a SORT (REVERSE REVERSE DATE) UTF-8 ALL
        a BAD unknown sort key REVERSE
        > a SORT (COLOUR) UTF-8 ALL
        a BAD unknown sort key COLOUR
        > a SORT () UTF-8 ALL
        a BAD a list here has at least one item
        > a SORT DATE UTF-8 ALL
        a BAD expected sort keys in parentheses at byte 8
        > a SORT (DATE) UTF-8
        a BAD the command ends too early: expected a space and an argument
        > a SORT (DATE)
        a BAD the command ends too early: expected a space and an argument
        > a THREAD references UTF-8 1:5 SEEN
        Thread(Thread { algorithm: References, search: Search { numbers: Sequence, returns: None, charset: Some("UTF-8"), keys: [Sequence(SequenceSet([(Number(1), Number(5))])), Flag(SystemFlags(1))] } })
        > a UID THREAD ORDEREDSUBJECT US-ASCII ALL
        Thread(Thread { algorithm: OrderedSubject, search: Search { numbers: Uid, returns: None, charset: Some("US-ASCII"), keys: [All] } })
        > a THREAD REFS UTF-8 ALL
        Thread(Thread { algorithm: Refs, search: Search { numbers: Sequence, returns: None, charset: Some("UTF-8"), keys: [All] } })
        > a THREAD X UTF-8 ALL
        a BAD unknown way to thread X
        > a THREAD REFERENCES UTF-8
        a BAD the command ends too early: expected a space and an argument
        > a FETCH 1 PREVIEW
        Fetch(Fetch { numbers: Sequence, set: SequenceSet([(Number(1), Number(1))]), items: [Preview { lazy: false }], changed_since: None, vanished: false, page: None })
        > a FETCH 1 (PREVIEW (LAZY) UID)
        Fetch(Fetch { numbers: Sequence, set: SequenceSet([(Number(1), Number(1))]), items: [Preview { lazy: true }, Uid], changed_since: None, vanished: false, page: None })
        > a FETCH 1 PREVIEW (CHANGEDSINCE 5)
        Fetch(Fetch { numbers: Sequence, set: SequenceSet([(Number(1), Number(1))]), items: [Preview { lazy: false }], changed_since: Some(5), vanished: false, page: None })
        > a FETCH 1 (PREVIEW (SOON))
        a BAD expected FETCH items at byte 11
    "#]]);
}

#[test]
fn searching_mailboxes() {
    check(&expect![[r#"
        > a ESEARCH UNSEEN
        Multisearch(Multisearch { sources: None, search: Search { numbers: Uid, returns: None, charset: None, keys: [NotFlag(SystemFlags(1))] } })
        > a ESEARCH IN (selected personal INBOXES subscribed) RETURN (MIN) CHARSET utf-8 ALL
        Multisearch(Multisearch { sources: Some([Selected, Personal, Inboxes, Subscribed]), search: Search { numbers: Uid, returns: Some(SearchReturn { min: true, max: false, all: false, count: false, save: false, partial: None, relevancy: false }), charset: Some("utf-8"), keys: [All] } })
        > a ESEARCH IN (mailboxes inbox subtree (a "b c" &AOk-) subtree-one x) ALL
        Multisearch(Multisearch { sources: Some([Mailboxes(["INBOX"]), Subtree(["a", "b c", "é"]), SubtreeOne(["x"])]), search: Search { numbers: Uid, returns: None, charset: None, keys: [All] } })
        > a ESEARCH IN (mailboxes) ALL
        a BAD expected a space and an argument at byte 24
        > a ESEARCH IN (mailboxes ()) ALL
        a BAD a list here has at least one item
        > a ESEARCH IN () ALL
        a BAD expected where to search at byte 15
        > a ESEARCH IN ("selected") ALL
        a BAD expected where to search at byte 15
        > a ESEARCH IN (selected-delayed) ALL
        a BAD SELECTED-DELAYED is for NOTIFY
        > a ESEARCH IN (everywhere) ALL
        a BAD unknown place to search EVERYWHERE
        > a ESEARCH IN (personal (deep)) ALL
        a BAD expected where to search at byte 24
        > a ESEARCH IN (personal)
        a BAD the command ends too early: expected a space and an argument
        > a ESEARCH IN personal ALL
        a BAD expected mailboxes in parentheses at byte 14
        > a UID ESEARCH ALL
        a BAD unknown command UID ESEARCH
    "#]]);
}
