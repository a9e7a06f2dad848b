{{/* What the schema cannot say, said before anything is installed. */}}
{{- define "relay.checks" -}}
{{- $url := .Values.config.journal.url -}}
{{- if and (gt (int .Values.replicas) 1) (hasPrefix "sqlite:" $url) -}}
{{- fail (printf "replicas: %d, but config.journal.url is %s: a SQLite journal belongs to one process; set replicas to 1" (int .Values.replicas) $url) -}}
{{- end -}}
{{- if and (hasPrefix "sqlite:" $url) (not (hasPrefix "sqlite:////var/lib/relay/" $url)) -}}
{{- fail (printf "config.journal.url: %s is outside /var/lib/relay, where the volume is: it would be lost with the pod" $url) -}}
{{- end -}}
{{- if and .Values.push.ingress.enabled (not .Values.push.ingress.host) -}}
{{- fail "push.ingress.host: is required: without it every host name would lead to /push" -}}
{{- end -}}
{{- $pushed := false -}}
{{- range $source := .Values.config.sources -}}
{{- $pushed = or $pushed (dig "push" "enabled" false $source) -}}
{{- end -}}
{{- if and (or .Values.push.ingress.enabled .Values.config.http.push_port) (not $pushed) -}}
{{- fail "push.ingress.enabled or config.http.push_port: no source has push.enabled, so nothing would be taken there" -}}
{{- end -}}
{{- range $source := .Values.config.sources -}}
{{- $directory := dig "recordings" "directory" "recordings" $source -}}
{{- if and (dig "recordings" "enabled" false $source) (hasPrefix "/" $directory) (not (hasPrefix "/var/lib/relay/" $directory)) -}}
{{- fail (printf "sources.recordings.directory: %s is outside /var/lib/relay, where the volumes are: nothing can be written there" $directory) -}}
{{- end -}}
{{- end -}}
{{- $needed := add (include "relay.longestPollSeconds" . | int) 15 -}}
{{- if lt (int .Values.terminationGracePeriodSeconds) (int $needed) -}}
{{- fail (printf "terminationGracePeriodSeconds: %d would cut a poll in flight and lose its reports; the longest poll.timeout_seconds asks for at least %d" (int .Values.terminationGracePeriodSeconds) $needed) -}}
{{- end -}}
{{- end -}}

{{/* The longest poll time-out of any source or endpoint; 30 is relay's default. */}}
{{- define "relay.longestPollSeconds" -}}
{{- $longest := 0 -}}
{{- range $source := .Values.config.sources -}}
{{- $ofSource := dig "poll" "timeout_seconds" 30 $source -}}
{{- $longest = max $longest (ceil $ofSource) -}}
{{- range $endpoint := $source.endpoints -}}
{{- if kindIs "map" $endpoint -}}
{{- $longest = max $longest (dig "poll" "timeout_seconds" $ofSource $endpoint | ceil) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $longest -}}
{{- end -}}
