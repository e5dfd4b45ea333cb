"""Sends gunicorn's lines through the settings' LOGGING: gunicorn alone prints lines of text."""

import logging

from gunicorn.glogging import Logger

logger = logging.getLogger("access")


class AccessLogger(Logger):
    """Its `logger_class`, with LOG_FORMAT=json."""

    def setup(self, cfg):
        super().setup(cfg)
        if logging.getLogger().handlers:
            self.error_log.handlers.clear()
            self.error_log.propagate = True

    def access(self, resp, req, environ, request_time):
        fields = {
            "status": int(str(resp.status).split()[0]),
            "size": resp.sent,
            "client": environ["REMOTE_ADDR"],
            "seconds": round(request_time.total_seconds(), 3),
        }
        # Not PATH_INFO: after an error that Django let through, gunicorn makes an environ without it.
        words = (req.method, req.path, str(fields["status"]))
        logger.info(" ".join(map(str, words)), extra=fields)
