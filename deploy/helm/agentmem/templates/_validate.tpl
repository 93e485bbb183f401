{{- /* What the schema cannot say. */ -}}
{{- define "agentmem.validate" -}}
{{- if and (eq .Values.environment "production") (or .Values.postgresql.enabled .Values.redis.enabled) -}}
{{- fail "postgresql.enabled and redis.enabled are for development: one instance, and no backup. Name yours in secrets." -}}
{{- end -}}
{{- if and (eq .Values.environment "production") .Values.masterKey.generate -}}
{{- fail "masterKey.generate is not for production: make the key yourself, keep a copy, and name its Secret in masterKey.existingSecret." -}}
{{- end -}}
{{- if not (or .Values.masterKey.existingSecret .Values.masterKey.generate (hasKey .Values.secrets.externalSecret.data "master_key")) -}}
{{- fail "No master key: name its Secret in masterKey.existingSecret (or have one made for trying out: masterKey.generate=true)." -}}
{{- end -}}
{{- $names := include "agentmem.secretNames" . | fromJsonArray -}}
{{- if not (has "database_url" $names) -}}
{{- fail "No database: secrets has no database_url. Give secrets.values.database_url, a Secret (secrets.existingSecret, secrets.keys), or postgresql.enabled=true for trying out." -}}
{{- end -}}
{{- if and (not (has "redis_url" $names)) (or .Values.worker.enabled .Values.api.autoscaling.enabled (gt (int .Values.api.replicas) 1)) -}}
{{- fail "Several processes share a Redis: secrets has no redis_url. Give one, or set api.replicas=1 and worker.enabled=false." -}}
{{- end -}}
{{- if and (not (include "agentmem.writesSecret" .)) (or .Values.secrets.values .Values.postgresql.enabled .Values.redis.enabled) -}}
{{- fail "The chart writes no Secret beside one of yours: leave out secrets.existingSecret and secrets.externalSecret, or secrets.values, postgresql.enabled and redis.enabled." -}}
{{- end -}}
{{- if and .Values.secrets.externalSecret.enabled .Values.secrets.existingSecret -}}
{{- fail "secrets.externalSecret.enabled and secrets.existingSecret exclude each other." -}}
{{- end -}}
{{- if .Values.secrets.externalSecret.enabled -}}
{{- range .Values.secrets.keys -}}
{{- if not (hasKey $.Values.secrets.externalSecret.data .) -}}
{{- fail (printf "secrets.externalSecret.data does not say where %s is." .) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if or (dig "backup" "enabled" false .Values.cronJobs) (dig "backupKeys" "enabled" false .Values.cronJobs) (dig "drill" "enabled" false .Values.cronJobs) -}}
{{- range list "backup_location" "backup_recipients" "backup_signing_key" -}}
{{- if not (index $.Values.config .) -}}
{{- fail (printf "Backups by cronJobs need config.%s: a pod keeps neither files nor keys of its own." .) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and (dig "drill" "enabled" false .Values.cronJobs) (not (has "backup_identity" $names)) -}}
{{- fail "cronJobs.drill opens what it restores: secrets has no backup_identity." -}}
{{- end -}}
{{- if and .Values.httpRoute.enabled (not .Values.httpRoute.parentRefs) -}}
{{- fail "httpRoute.enabled needs httpRoute.parentRefs: the gateway it belongs to." -}}
{{- end -}}
{{- if and .Values.certificate.enabled (not (and .Values.ingress.tlsSecret .Values.certificate.issuer.name)) -}}
{{- fail "certificate.enabled needs ingress.tlsSecret and certificate.issuer.name." -}}
{{- end -}}
{{- end -}}
