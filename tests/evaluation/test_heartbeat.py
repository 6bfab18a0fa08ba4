import logging

from mmengine.logging import MMLogger

from rggan_mm.evaluation import heartbeat
from rggan_mm.evaluation.heartbeat import Heartbeat


def test_it_speaks_once_an_interval(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(heartbeat.time, 'monotonic', lambda: now[0])
    said = []
    handler = logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage())
    logger = MMLogger.get_instance('heartbeat')
    logger.addHandler(handler)
    beat = Heartbeat('real images', every=60)
    for seconds, done in ((10, 1), (59, 2), (60, 3), (61, 4), (130, 5), (200, 9)):
        now[0] = 100.0 + seconds
        beat.tell(done, 9)
    assert said == ['GANMetrics: 3 of 9 real images', 'GANMetrics: 5 of 9 real images']
