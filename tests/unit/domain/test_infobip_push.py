"""Reports in the spelling of Infobip's push."""

import pytest

from relay.domain.infobip_push import as_pushed


@pytest.mark.parametrize(
    ("normalised", "pushed"),
    [
        (b'{"sentAt":"2015-02-12T09:58:20.323+01:00"}', b'{"sentAt":"2015-02-12T09:58:20.323+0100"}'),
        (b'{"doneAt":"2015-02-12T09:58:20.323-03:30"}', b'{"doneAt":"2015-02-12T09:58:20.323-0330"}'),
        (b'{"startTime":"2018-06-25T13:38:15.000Z"}', b'{"startTime":"2018-06-25T13:38:15.000+0000"}'),
        (b'{"answerTime":"2018-06-25T13:38:15Z"}', b'{"answerTime":"2018-06-25T13:38:15+0000"}'),
        (b'{"endTime":"2018-06-25T13:38:15+00:00","n":1}', b'{"endTime":"2018-06-25T13:38:15+0000","n":1}'),
        (b'{"scheduledAt":"2015-02-12T09:58:20.323+01:00"}', b'{"scheduledAt":"2015-02-12T09:58:20.323+01:00"}'),
        (b'{"text":"\\"sentAt\\":\\"2015-02-12T09:58:20Z\\""}', b'{"text":"\\"sentAt\\":\\"2015-02-12T09:58:20Z\\""}'),
        (b'{"text":"2015-02-12T09:58:20Z"}', b'{"text":"2015-02-12T09:58:20Z"}'),
    ],
)
def test_timestamps_have_the_offset_that_infobip_writes(normalised: bytes, pushed: bytes) -> None:
    assert as_pushed(normalised) == pushed


@pytest.mark.parametrize(
    ("normalised", "pushed"),
    [
        (b'{"n":1,"unparsed":{"/sentAt":"yesterday"}}', b'{"n":1,"sentAt":"yesterday"}'),
        (b'{"status":{"groupId":3},"unparsed":{"/status/id":{"a":1}}}', b'{"status":{"groupId":3,"id":{"a":1}}}'),
        (b'{"unparsed":{"/price":7}}', b'{"price":7}'),
        (b'{"unparsed":{"/unparsed":5}}', b'{"unparsed":5}'),
        (b'{"a/b":{},"unparsed":{"/a~1b/x~0y":"NaN"}}', b'{"a/b":{"x~y":"NaN"}}'),
        (b'{"a":[1,null,{}],"unparsed":{"/a/1":"NaN","/a/2/b":"NaN"}}', b'{"a":[1,"NaN",{"b":"NaN"}]}'),
        (b'{"big":118059162071741130342401,"unparsed":{"/to":1}}', b'{"big":118059162071741130342401,"to":1}'),
        (b'{"text":"\\"unparsed\\":"}', b'{"text":"\\"unparsed\\":"}'),
        (b'{"a":{"unparsed":{"/b":1}}}', b'{"a":{"unparsed":{"/b":1}}}'),
    ],
)
def test_what_could_not_be_normalised_goes_back_to_its_place(normalised: bytes, pushed: bytes) -> None:
    assert as_pushed(normalised) == pushed
