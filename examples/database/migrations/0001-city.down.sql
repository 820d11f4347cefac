alter table customers drop column city;
